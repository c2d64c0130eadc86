"""A TCP proxy in front of a backend that can be told to fail: new connections take the mode that is set when they come."""

import random
import socket
import threading
import time

MODES = ["latency", "refuse", "black hole", "reset in the body", "answer lost", "error 500", "error 503", "error 429", "slow"]
_CANNED = {"error 500": b"500 Internal Server Error", "error 503": b"503 Service Unavailable", "error 429": b"429 Too Many Requests"}


class FaultProxy:
    def __init__(self, target_port, seed):
        self.mode = "pass"
        self._target = target_port
        self._random = random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        self._open = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def set(self, mode):
        """Also ends the connections that are open: pooled ones would not notice the mode."""
        self.mode = mode
        with self._lock:
            for one in list(self._open):
                self._end(one)

    def _end(self, one):
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client, self.mode), daemon=True).start()

    def _serve(self, client, mode):
        server = None
        try:
            with self._lock:
                self._open.add(client)
            if mode == "refuse":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return
            if mode == "black hole":
                client.settimeout(20)
                while client.recv(65536):
                    pass
                return
            if mode in _CANNED:
                client.settimeout(5)
                client.recv(65536)
                client.sendall(b"HTTP/1.1 " + _CANNED[mode] + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            with self._lock:
                self._open.add(server)
            limit = self._random.randrange(1, 60_000) if mode == "reset in the body" else None
            back = threading.Thread(target=self._pump, args=(server, client, mode, None, mode == "answer lost"), daemon=True)
            back.start()
            self._pump(client, server, mode, limit, False)
            back.join(30)
        except OSError:
            pass
        finally:
            for one in [client, server]:
                if one is not None:
                    with self._lock:
                        self._open.discard(one)
                    one.close()

    def _pump(self, source, sink, mode, limit, drops):
        """Bytes one way; `limit` ends both directions hard after so many, `drops` lets the effect happen and loses its answer."""
        sent = 0
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                if drops:
                    break
                if mode == "latency":
                    time.sleep(0.2)
                if mode == "slow":
                    for start in range(0, len(data), 2048):
                        sink.sendall(data[start:start + 2048])
                        time.sleep(0.02)
                    continue
                if limit is not None and sent + len(data) > limit:
                    sink.sendall(data[: limit - sent])
                    source.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    break
                sink.sendall(data)
                sent += len(data)
        except OSError:
            pass
        self._end(source)
        self._end(sink)
