"""Calls of bootswarm's PlacementService, as Connect's JSON over HTTP."""

import http.client
import json
import logging
import math
import threading
import time
import urllib.parse

from bootswarm_nova import deadline as deadlines

LOG = logging.getLogger(__name__)

_PATH = '/bootswarm.seeder.v1.PlacementService/'
# Some 100 bytes a host, for 100,000 hosts.
_ANSWER_BYTES_MAX = 16 * 1024 * 1024
# What is read of an error's body, for the log.
_ERROR_BYTES_MAX = 4096
_UNKNOWN = ('HOST_REASON_UNKNOWN', 'HOST_REASON_LOST')


class SeederError(Exception):
    """A seeder has answered that it cannot do what it was asked for."""


class SeedersAway(Exception):
    """No seeder has answered, or none is to be asked now."""


class SeederClient:
    """Asks one of several seeders.

    One that does not answer, or answers nonsense, is left alone for
    `retry_interval` seconds; then one call tries it again while others still
    do without. So a seeder that hangs delays one call in that time.
    """

    def __init__(self, clock=time.monotonic):
        self._clock = clock
        self._lock = threading.Lock()
        # When each seeder that has failed may be asked again.
        self._retry_at = {}
        # The one that answered last is asked first.
        self._last = None

    def weigh(self, urls, hosts, images, options, limits):
        """Weights of hosts for a launch.

        :param urls: of seeders, http://HOST:PORT
        :param hosts: names
        :param images: names or digests, to be tried in turn
        :param options: of WeighOptions, as in its JSON
        :param limits: a Limits
        :returns: a dict of host -> score; None for hosts of which the seeder
            knows nothing
        :raises SeederError, SeedersAway:
        """
        request = {
            'image': images[0],
            'otherImages': images[1:],
            'hosts': hosts,
            'options': dict(options, brief=True),
        }
        return self._call(urls, 'WeighHosts', request, limits, _scores_from)

    def record_launch(self, urls, host, images, launch_id, limits):
        """Tells that an instance is started on a host.

        :raises SeederError, SeedersAway:
        """
        request = {'image': images[0], 'otherImages': images[1:],
                   'host': host, 'launchId': launch_id}
        return self._call(urls, 'RecordLaunch', request, limits, dict)

    def _call(self, urls, method, request, limits, read):
        body = json.dumps(request).encode()
        candidates = self._candidates(urls)
        for index, url in enumerate(candidates):
            try:
                left = limits.deadline.left()
            except TimeoutError:
                break
            if not self._may_ask(url, limits.retry_interval):
                continue
            # One that hangs must leave time to ask the next.
            share = deadlines.Deadline(left / (len(candidates) - index))
            try:
                answer = read(_post(url, _PATH + method, body, share))
            except SeederError:
                self._answered(url)
                raise
            except Exception as e:  # whatever a broken server makes happen
                self._failed(url, e, limits.retry_interval)
                continue
            self._answered(url)
            return answer
        raise SeedersAway('no seeder of %s answers now' % ', '.join(urls))

    def _candidates(self, urls):
        """The seeders that are not left alone, first who answered last."""
        now = self._clock()
        with self._lock:
            due = [url for url in urls if self._retry_at.get(url, now) <= now]
            return sorted(due, key=lambda url: url != self._last)

    def _may_ask(self, url, retry_interval):
        now = self._clock()
        with self._lock:
            retry_at = self._retry_at.get(url)
            if retry_at is None:
                return True
            if now < retry_at:
                return False
            # Others go on without while this call tries.
            self._retry_at[url] = now + retry_interval
            return True

    def _failed(self, url, error, retry_interval):
        with self._lock:
            is_news = url not in self._retry_at
            self._retry_at[url] = self._clock() + retry_interval
        log = LOG.warning if is_news else LOG.debug
        log('bootswarm seeder %s: %s: %s; hosts are weighed without it, and '
            'it is asked again in %g s', url, type(error).__name__, error,
            retry_interval)

    def _answered(self, url):
        with self._lock:
            was_away = self._retry_at.pop(url, None) is not None
            self._last = url
        if was_away:
            LOG.info('bootswarm seeder %s answers again', url)


class Limits:
    """How long a scheduling decision waits for seeders, and how often."""

    def __init__(self, timeout, retry_interval):
        self.deadline = deadlines.Deadline(timeout)
        self.retry_interval = retry_interval


def _post(url, path, body, deadline):
    """Posts JSON and returns the answer's object."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != 'http' or not parts.hostname:
        raise ValueError('write it as http://HOST:PORT')
    with deadlines.DeadlineConnection(
            parts.hostname, parts.port or 80, deadline) as connection:
        connection.request('POST', path, body, {
            'Content-Type': 'application/json',
            'Accept-Encoding': 'identity',
            'Connection': 'close',
        })
        response = connection.getresponse()
        if response.status != 200:
            raise _error_from(response)
        content = response.read(_ANSWER_BYTES_MAX + 1)
    if len(content) > _ANSWER_BYTES_MAX:
        raise ValueError('the answer is larger than any can be')
    answer = json.loads(content)
    if not isinstance(answer, dict):
        raise ValueError('the answer is no object')
    return answer


def _error_from(response):
    """The error in an answer: the seeder's own word, or anything else."""
    text = response.read(_ERROR_BYTES_MAX).decode(errors='replace')
    try:
        error = json.loads(text)
        code, message = str(error['code']), str(error.get('message', ''))
    except (ValueError, KeyError, TypeError, AttributeError):
        return http.client.HTTPException(
            'status %d: %.200s' % (response.status, text))
    if code in ('not_found', 'invalid_argument', 'failed_precondition'):
        return SeederError('%s: %s' % (code, message))
    return http.client.HTTPException('%s: %.200s' % (code, message))


def _scores_from(answer):
    scores = {}
    for host in answer['hosts']:
        # Protobuf's JSON leaves out what is 0.
        score = float(host.get('score', 0))
        if not math.isfinite(score):
            raise ValueError('a weight is %s' % score)
        is_known = host['reason'] not in _UNKNOWN
        scores[host['host']] = score if is_known else None
    return scores
