"""A TCP proxy in front of Postgres that knows its messages well enough to lose one: the request, or the answer of a COMMIT that took place.

Sluice's transactions are single statements in pipeline mode: Parse (once), Bind, Describe, Execute, Sync. Sync commits, and
ReadyForQuery tells of it. So a *request* here is everything up to a Sync, its *answer* everything up to a ReadyForQuery, and a fault is
armed for the requests that call certain SQL functions, for so many of them, within so many seconds.
"""

import collections
import contextlib
import dataclasses
import os
import random
import re
import socket
import struct
import threading
import time
from urllib.parse import parse_qs, urlsplit

# What can happen to one request.
MODES = [
    "lose the request",  # never sent: nothing happened
    "lose the answer",  # it happened, and nobody is told
    "cut the answer",  # it happened, and some bytes of the answer arrive
    "delay the request",
    "delay the answer",  # it happened, and its locks are long free when the client hears of it
    "late request",  # the client sees its connection end, and the request arrives all the same, some seconds after
    "answer without commit",  # the rows arrive, the connection ends before the commit: nothing happened
]
# What can happen to everything for a while.
CONNECTION_MODES = ["latency", "refuse connections"]

_SSL_REQUEST, _GSS_REQUEST, _CANCEL_REQUEST = 80877103, 80877104, 80877102
_SYNC, _FLUSH = b"S\0\0\0\4", b"H\0\0\0\4"
_FUNCTION = re.compile(r"\b[a-z_]+_v[0-9]+(?=\()")


@dataclasses.dataclass
class Fault:
    mode: str
    # What SQL must contain, as whole words' beginnings: `commit_v` means commit_v1 and commit_v2, not commit_copy_v1. Empty: any SQL.
    targets: tuple = ()
    # How many requests are left that it may hit.
    left: int = 1
    deadline: float = float("inf")
    seconds: float = 0

    def hits(self, sql):
        return not self.targets or any(re.search(r"\b" + re.escape(target), sql) for target in self.targets)


@dataclasses.dataclass
class Request:
    fault: Fault | None = None


class _Over(Exception):
    """One of the two sides ended the connection."""


class PostgresProxy:
    def __init__(self, socket_path, seed, log=os.devnull):
        """`log` is a file that gets a line for each fault that is armed and each request that one hits."""
        self._log = open(log, "a", buffering=1, encoding="utf-8")
        self.hits = collections.Counter()
        self._path = socket_path
        self._random = random.Random(seed)
        self._faults = []
        self._open = set()
        # Requests that a fault makes wait.
        self._waiting = 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, mode, targets=(), times=1, within=float("inf"), seconds=0):
        """From now on, until it hit so often or the time is over. `seconds` is how long what is delayed or late waits."""
        with self._lock:
            self._note(f"armed: {mode}, {' or '.join(targets) or 'any statement'}, {times} times within {within:.1f} s, waits {seconds:.1f} s")
            self._faults.append(Fault(mode, tuple(targets), times, time.monotonic() + within, seconds))

    def disarm(self):
        with self._lock:
            self._faults.clear()

    def end_connections(self):
        with self._lock:
            for one in list(self._open):
                one.end()

    def is_settled(self):
        """Nothing is delayed any more, so that nothing can still arrive late."""
        with self._lock:
            return self._waiting == 0

    @contextlib.contextmanager
    def _delayed(self, seconds):
        """Waits; what is in the block counts as still under way."""
        with self._lock:
            self._waiting += 1
        try:
            time.sleep(seconds)
            yield
        finally:
            with self._lock:
                self._waiting -= 1

    def _standing(self):
        now = time.monotonic()
        self._faults = [fault for fault in self._faults if fault.left > 0 and fault.deadline > now]
        return self._faults

    def _strike(self, sql):
        """The first fault that is armed for such a request, and one hit less of it."""
        with self._lock:
            for fault in self._standing():
                if fault.mode in MODES and fault.hits(sql):
                    fault.left -= 1
                    names = _FUNCTION.findall(sql) or [" ".join(sql.split()[:2])]
                    self._hit(f"{fault.mode}: {names[0]}")
                    return fault
        return None

    def _is_standing(self, mode):
        with self._lock:
            return any(fault.mode == mode for fault in self._standing())

    def _hit(self, what):
        self.hits[what] += 1
        self._note(what)

    def _note(self, what):
        now = time.time()
        self._log.write(f"{time.strftime('%H:%M:%S', time.gmtime(now))}.{int(now * 1000) % 1000:03} {what}\n")

    def _pick(self, below):
        with self._lock:
            return self._random.randrange(below)

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._is_standing("refuse connections"):
                with self._lock:
                    self._hit("refuse connections")
                client.close()
                return
            with socket.socket(socket.AF_UNIX) as server:
                server.connect(self._path)
                one = _Connection(self, client, server)
                with self._lock:
                    self._open.add(one)
                try:
                    one.run()
                finally:
                    with self._lock:
                        self._open.discard(one)
        except OSError:
            pass
        finally:
            client.close()


class _Connection:
    """Two threads: requests go up, answers come down. A request is in the queue from before it is sent until its answer is over."""

    def __init__(self, proxy, client, server):
        self._proxy, self._client, self._server = proxy, client, server
        self._queue = collections.deque()
        # SQL by the name of the prepared statement.
        self._statements = {}
        self._is_over = threading.Event()

    def end(self):
        self._end(self._client, self._server)

    def run(self):
        down = threading.Thread(target=self._guarded, args=(self._down,), daemon=True)
        if self._start():
            down.start()
            self._guarded(self._up)
            down.join()

    def _guarded(self, body):
        try:
            body()
        except (_Over, OSError):
            pass
        self._is_over.set()
        self.end()

    @staticmethod
    def _end(*sides):
        for side in sides:
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    # MARK: Start

    def _start(self):
        """The messages before the first typed one. False if there is nothing to do any more."""
        while True:
            length = struct.unpack("!I", self._exactly(4))[0]
            body = self._exactly(length - 4)
            code = struct.unpack("!I", body[:4])[0]
            if code in (_SSL_REQUEST, _GSS_REQUEST):
                self._client.sendall(b"N")
                continue
            if code != _CANCEL_REQUEST:
                self._queue.append(Request())
            self._server.sendall(struct.pack("!I", length) + body)
            return code != _CANCEL_REQUEST

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            more = self._client.recv(count - len(data))
            if not more:
                raise OSError("ended while starting")
            data += more
        return data

    # MARK: Requests

    def _up(self):
        held, sql = [], []
        for kind, message in _messages(self._client):
            held.append(message)
            if kind == b"P":
                name, text = message[5:].split(b"\0", 2)[:2]
                self._statements[name] = text.decode()
            elif kind == b"B":
                _, name = message[5:].split(b"\0", 2)[:2]
                sql.append(self._statements.get(name, ""))
            elif kind == b"Q":
                sql.append(message[5:-1].decode())
            if kind in (b"S", b"Q"):
                self._request(b"".join(held), "; ".join(sql))
                held, sql = [], []
            elif kind in (b"H", b"p", b"X", b"F", b"d", b"c", b"f"):
                # What belongs to no request, or is wanted at once.
                self._server.sendall(b"".join(held))
                held = []

    def _request(self, data, sql):
        if self._proxy._is_standing("latency"):
            time.sleep(0.02 + self._proxy._pick(100) / 1000)
        fault = self._proxy._strike(sql)
        request = Request(fault)
        mode = fault.mode if fault else None
        if mode == "lose the request":
            raise _Over()
        if mode == "answer without commit" and data.endswith(_SYNC):
            # A Flush in place of the Sync: the rows come, and the transaction stays open.
            data = data[:-len(_SYNC)] + _FLUSH
        if mode not in ("delay the request", "late request"):
            self._queue.append(request)
            self._server.sendall(data)
            return
        if mode == "late request":
            self._end(self._client)
        with self._proxy._delayed(fault.seconds):
            self._queue.append(request)
            self._server.sendall(data)
            if mode == "late request":
                # Its answer goes nowhere. Until it is there the server's side stays open: it ends a statement whose client is gone.
                while self._queue and not self._is_over.is_set():
                    time.sleep(0.01)
                raise _Over()

    # MARK: Answers

    def _down(self):
        # What may go on to the client, and what is held back of an answer that a fault is waiting for.
        passed, held = [], []
        for kind, message in _messages(self._server, lambda: self._pass(passed)):
            head = self._queue[0] if self._queue else None
            mode = head.fault.mode if head and head.fault else None
            if mode in (None, "delay the request"):
                passed.append(message)
            else:
                held.append(message)
            if mode == "answer without commit" and kind in (b"C", b"E"):
                self._pass(passed)
                self._client.sendall(b"".join(held))
                # Time to read it, before the end comes.
                time.sleep(0.1)
                raise _Over()
            if kind != b"Z" or head is None:
                continue
            self._pass(passed)
            answer, held = b"".join(held), []
            if mode == "lose the answer":
                raise _Over()
            if mode == "cut the answer":
                self._client.sendall(answer[:self._proxy._pick(len(answer) - 1) + 1])
                raise _Over()
            if mode == "delay the answer":
                time.sleep(head.fault.seconds)
                self._client.sendall(answer)
            self._queue.popleft()

    def _pass(self, messages):
        if messages:
            self._client.sendall(b"".join(messages))
            messages.clear()


def _messages(source, before_waiting=lambda: None):
    """Typed messages, each with its whole frame: a type, four bytes of length without the type, the body."""
    buffer = bytearray()
    while True:
        start = 0
        while len(buffer) - start >= 5:
            length = 1 + struct.unpack_from("!I", buffer, start + 1)[0]
            if len(buffer) - start < length:
                break
            yield bytes(buffer[start:start + 1]), bytes(buffer[start:start + length])
            start += length
        del buffer[:start]
        before_waiting()
        data = source.recv(65536)
        if not data:
            raise _Over()
        buffer += data


def socket_path(uri):
    """Where the Postgres of scripts/postgres listens, by its URI."""
    return parse_qs(urlsplit(uri).query)["host"][0] + "/.s.PGSQL." + os.environ.get("PGPORT", "5432")


def proxied(uri, port):
    """The same database and user, by way of the proxy."""
    parts = urlsplit(uri)
    return f"postgresql://{parse_qs(parts.query)['user'][0]}@127.0.0.1:{port}{parts.path}"
