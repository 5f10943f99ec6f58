"""HTTP/1.1 with a limit on the whole of a call, by the standard library.

A socket's own timeout starts anew with each byte that comes, so that a server
which sends one byte a second holds a caller for hours. Here each wait has what
is left of one time limit, name lookup included.
"""

import http.client
import io
import ipaddress
import queue
import socket
import threading
import time


class Deadline:
    """A moment by which something must be done."""

    def __init__(self, seconds):
        self._at = time.monotonic() + seconds

    def left(self):
        """Seconds that are left.

        :raises TimeoutError: if there are none
        """
        left = self._at - time.monotonic()
        if left <= 0:
            raise TimeoutError('no answer in time')
        return left


class DeadlineConnection(http.client.HTTPConnection):
    """One connection, for one call; a context that closes it."""

    def __init__(self, host, port, deadline):
        super().__init__(host, port)
        self._deadline = deadline
        self._connection = None

    def __enter__(self):
        return self

    def __exit__(self, *_exception):
        self.close()
        if self._connection is not None:
            self._connection.close()

    def connect(self):
        error = None
        for family, address in _resolve(self.host, self.port, self._deadline):
            connection = socket.socket(family, socket.SOCK_STREAM)
            try:
                connection.settimeout(self._deadline.left())
                connection.connect(address)
                connection.setsockopt(socket.IPPROTO_TCP,
                                      socket.TCP_NODELAY, 1)
                self._connection = connection
                self.sock = _Socket(connection, self._deadline)
                return
            except OSError as e:
                connection.close()
                error = e
        raise error or OSError('the name has no address')


class _Socket:
    """As much of a socket as http.client uses."""

    def __init__(self, connection, deadline):
        self._connection = connection
        self._deadline = deadline

    def sendall(self, data):
        self._connection.settimeout(self._deadline.left())
        self._connection.sendall(data)

    def makefile(self, *_args, **_kwargs):
        return io.BufferedReader(_Reader(self._connection, self._deadline))

    def close(self):
        """http.client closes it before the answer is read: that is for the
        context to do.
        """


class _Reader(io.RawIOBase):
    def __init__(self, connection, deadline):
        self._connection = connection
        self._deadline = deadline

    def readable(self):
        return True

    def readinto(self, buffer):
        self._connection.settimeout(self._deadline.left())
        return self._connection.recv_into(buffer)


def _resolve(host, port, deadline):
    """The addresses of a host: (family, address), in the order to be tried."""
    if _is_address(host):
        return _look_up(host, port)
    # A name server that is away can hold getaddrinfo for many seconds.
    answers = queue.Queue()

    def look_up():
        try:
            answers.put(_look_up(host, port))
        except Exception as e:  # a resolver's own, UnicodeError and others
            answers.put(e)

    threading.Thread(target=look_up, daemon=True).start()
    try:
        answer = answers.get(timeout=deadline.left())
    except queue.Empty:
        raise TimeoutError(
            'the name %s was not found in time' % host) from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _look_up(host, port):
    # By position: eventlet, which nova-scheduler runs on, calls the fourth
    # otherwise than Python does.
    found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    return [(family, address) for family, _, _, _, address in found]


def _is_address(host):
    try:
        ipaddress.ip_address(host)
        return True
    except ValueError:
        return False
