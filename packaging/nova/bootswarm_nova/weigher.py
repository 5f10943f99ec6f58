"""A host weigher for Nova's scheduler that asks bootswarm.

Hosts that have the instance's image cached come before those to which it is on
its way, the sooner it will be there the better, and those before the others:
bootswarm's score of each host, as it is. It is not stretched over the hosts at
hand as Nova does with weights that have no bounds of their own, or a
difference that hardly matters would count as much as a cached image.

Whatever goes wrong, every host weighs 0 and the other weighers decide.
"""

import nova.conf
from nova.scheduler import utils
from nova.scheduler import weights
from oslo_log import log as logging

from bootswarm_nova import client
from bootswarm_nova import options

LOG = logging.getLogger(__name__)
CONF = nova.conf.CONF
CONF.register_group(options.GROUP)
CONF.register_opts(options.OPTIONS, group=options.GROUP)


class BootswarmWeigher(weights.BaseHostWeigher):
    """Weighs hosts by where the image is. For [filter_scheduler]
    weight_classes, after the others.
    """

    # With bounds of its own, a weigher's weights are taken as they are:
    # Nova maps these to 0 and 1.
    minval = 0
    maxval = 1

    def __init__(self):
        self._client = client.SeederClient()

    def weight_multiplier(self, host_state):
        """From the host's aggregates, else from nova.conf."""
        return utils.get_weight_multiplier(
            host_state, 'bootswarm_weight_multiplier',
            CONF.bootswarm.weight_multiplier)

    def _weigh_object(self, host_state, weight_properties):
        raise NotImplementedError('hosts are weighed together')

    def weigh_objects(self, weighed_obj_list, weight_properties):
        """Weighs all hosts by one call. Never raises."""
        try:
            return self._weigh(weighed_obj_list, weight_properties)
        except (client.SeederError, client.SeedersAway) as e:
            LOG.debug('bootswarm has no say in this: %s', e)
        except Exception:
            LOG.exception('bootswarm\'s weigher failed; hosts are weighed '
                          'without it')
        return [0.0] * len(weighed_obj_list)

    def _weigh(self, weighed_obj_list, spec):
        conf = CONF.bootswarm
        images = images_of(spec, conf.image_from)
        if not images or not conf.seeder_urls:
            return [0.0] * len(weighed_obj_list)
        limits = client.Limits(conf.timeout, conf.retry_interval)
        hosts = [weighed.obj.host for weighed in weighed_obj_list]
        scores = self._client.weigh(
            conf.seeder_urls, sorted(set(hosts)), images,
            _weigh_options(conf), limits)
        result = _weights_from(hosts, scores)
        if conf.record_launches == 'best':
            self._record_best(weighed_obj_list, result, scores, images, spec,
                              limits)
        return result

    def _record_best(self, weighed_obj_list, result, scores, images, spec,
                     limits):
        """Tells bootswarm of the host that has the greatest weight of all.

        What the weighers before this one have found is in the objects
        already, so that this is Nova's choice if none comes after.
        """
        def total(index):
            weighed = weighed_obj_list[index]
            return (weighed.weight +
                    self.weight_multiplier(weighed.obj) * result[index])

        best = max(range(len(result)), key=total)
        host = weighed_obj_list[best].obj.host
        launch_id = _get(spec, 'instance_uuid')
        if not launch_id or scores.get(host) is None:
            return
        try:
            self._client.record_launch(CONF.bootswarm.seeder_urls, host,
                                       images, launch_id, limits)
        except (client.SeederError, client.SeedersAway) as e:
            LOG.debug('bootswarm was not told of the launch: %s', e)


def _weigh_options(conf):
    weigh_options = {'countInFlight': conf.count_in_flight}
    if conf.spread_multiplier is not None:
        weigh_options['spreadMultiplier'] = conf.spread_multiplier
    return weigh_options


def _weights_from(hosts, scores):
    """Weights in the order of the hosts, the least known score as 0.

    A host without an agent weighs as the least of the others: nothing of the
    image is there, but that is no reason to keep away from it.
    """
    known = [score for score in scores.values() if score is not None]
    least = min(known, default=0.0)
    found = [scores.get(host) for host in hosts]
    return [0.0 if score is None else score - least for score in found]


def images_of(spec, sources):
    """What bootswarm may know the image by, best first; empty if the instance
    has none, as one that boots from a volume.
    """
    if _get(spec, 'is_bfv'):
        return []
    image = _get(spec, 'image')
    flavor = _get(spec, 'flavor')
    extra_specs = _get(flavor, 'extra_specs') or {}
    found = {
        'hint': _hint(spec),
        'extra_spec': extra_specs.get('bootswarm:image'),
        'id': _get(image, 'id'),
        'name': _get(image, 'name'),
    }
    # A volume's metadata are an image without an id.
    if not found['id'] and not found['hint']:
        return []
    names = [found[source] for source in sources if found[source]]
    return list(dict.fromkeys(names))


def _hint(spec):
    hints = _get(spec, 'scheduler_hints') or {}
    value = hints.get('bootswarm_image')
    return value[0] if isinstance(value, list) and value else value


def _get(obj, field):
    """A versioned object's field, or None if it is not set."""
    if obj is None or not obj.obj_attr_is_set(field):
        return None
    return getattr(obj, field)
