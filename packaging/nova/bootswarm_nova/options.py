"""The options of the weigher, in nova.conf's group [bootswarm]."""

from oslo_config import cfg

GROUP = cfg.OptGroup(
    'bootswarm',
    title='bootswarm',
    help='Weighs hosts by what bootswarm has cached there or on its way.')

OPTIONS = [
    cfg.ListOpt(
        'seeder_urls',
        default=['http://127.0.0.1:7400'],
        help='URLs of bootswarm seeders that share a catalog, as '
             'http://HOST:PORT. One is asked, and the next when it does not '
             'answer.'),
    cfg.FloatOpt(
        'timeout',
        default=0.5, min=0.01, max=30.0,
        help='Seconds that one scheduling decision waits for the seeders at '
             'most, over all of them: name lookup, connecting and the whole '
             'answer. After that bootswarm has no say in it.'),
    cfg.FloatOpt(
        'retry_interval',
        default=30.0, min=0.0, max=3600.0,
        help='Seconds for which a seeder that did not answer is not asked '
             'again.'),
    cfg.FloatOpt(
        'weight_multiplier',
        default=1.0,
        help='What a cached image counts against one that is absent, beside '
             'the other weighers. An aggregate\'s metadata may set it as '
             'bootswarm_weight_multiplier.'),
    cfg.FloatOpt(
        'spread_multiplier',
        min=0.0, max=1000.0,
        help='What a host at rest counts against one on which much was '
             'launched of late; 0: only the image counts. As the seeder is '
             'configured if this is not set.'),
    cfg.BoolOpt(
        'count_in_flight',
        default=True,
        help='Whether an image on its way to a host counts.'),
    cfg.ListOpt(
        'image_from',
        default=['hint', 'extra_spec', 'id', 'name'],
        item_type=cfg.types.String(
            choices=['hint', 'extra_spec', 'id', 'name']),
        help='By what an image is looked for in bootswarm\'s catalog, in '
             'turn: the scheduler hint bootswarm_image, the flavor\'s extra '
             'spec bootswarm:image, the image\'s Glance id, its Glance name.'),
    cfg.StrOpt(
        'record_launches',
        default='off', choices=['off', 'best'],
        help='Whether bootswarm is told of launches. "best": the host with '
             'the greatest weight when this weigher has weighed is taken for '
             'the one that Nova chooses; see README.md for when it is not.'),
]


def list_opts():
    """For oslo.config's generator."""
    return [(GROUP, OPTIONS)]
