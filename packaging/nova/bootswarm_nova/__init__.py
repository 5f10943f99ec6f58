"""Nova's scheduler asks bootswarm where an image is cached, or on its way."""
