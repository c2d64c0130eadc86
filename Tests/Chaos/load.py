"""Clients that write, read and delete under load, and keep the history that the checker goes by."""

import hashlib
import random
import threading
import time

import botocore


def content(tag, size):
    block = hashlib.sha256(tag.encode()).digest() * 32
    return (tag.encode() + b"|" + block * (size // len(block) + 1))[: size + len(tag) + 1]


class Worker(threading.Thread):
    """Owns its keys, so that its history says what each may be. An operation without a clear answer leaves both outcomes possible."""

    def __init__(self, fleet, number, seed, stop, tally, violations):
        super().__init__(daemon=True)
        self.fleet, self.number, self.stop, self.tally, self.violations = fleet, number, stop, tally, violations
        self.random = random.Random(seed * 1000 + number)
        self.keys = {f"w{number}/k{i}": {None} for i in range(12)}
        # Sizes by tag, for what may still arrive.
        self.sizes = {}
        self.serial = 0

    def matches(self, key, body):
        return any(tag is not None and body == content(tag, self.sizes[tag]) for tag in self.keys[key])

    def run(self):
        clients = [self.fleet.client(index) for index in range(len(self.fleet.gateways))]
        while not self.stop.is_set():
            key = self.random.choice(list(self.keys))
            client = self.choose(clients)
            kind = self.random.choices(["put", "multipart", "get", "delete"], [40, 6, 40, 14])[0]
            self.operate(kind, client, key)

    def choose(self, clients):
        """Any gateway; one that is stopped for long gets a request now and then."""
        client = self.random.choice(clients)
        stopped = self.fleet.stopped
        if stopped is not None and client is clients[stopped] and self.random.random() < 0.95:
            return clients[(stopped + 1) % len(clients)]
        return client

    def operate(self, kind, client, key):
        try:
            getattr(self, kind)(client, key)
            self.tally[kind + " ok"] += 1
        except botocore.exceptions.ClientError as error:
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            self.tally[f"{kind} {status}"] += 1
            if status < 500 and not (kind == "get" and status == 404) and error.response["Error"]["Code"] not in ("NoSuchUpload", "RequestTimeout"):
                self.violations.append(f"{kind} {key}: {error}")
            time.sleep(0.05)
        except (botocore.exceptions.BotoCoreError, OSError):
            self.tally[f"{kind} no answer"] += 1
            time.sleep(0.1)

    def tag(self, key, size):
        self.serial += 1
        tag = f"{key}#{self.serial}"
        self.sizes[tag] = size
        return tag

    def write(self, key, tag, call):
        before = self.keys[key]
        self.keys[key] = before | {tag}
        try:
            call()
        except botocore.exceptions.ClientError as error:
            # 503 says that nothing was stored, and what says 4xx was refused; anything else may have happened.
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 503:
                self.keys[key] = before
            raise
        # Attempts without an answer, of before, may still come to their end in a gateway that was stopped.
        self.keys[key] = {tag} | {t for t in before if t in self.unclear(key)}

    def unclear(self, key):
        return self.pending.setdefault(key, set())

    pending = None

    def put(self, client, key):
        size = self.random.choice([0, 100, 5000, 70_000, 300_000])
        tag = self.tag(key, size)
        self.attempt(key, tag, lambda: self.write(key, tag, lambda: client.put_object(Bucket="chaos", Key=key, Body=content(tag, size))))

    def multipart(self, client, key):
        size = (5 << 20) + self.random.randrange(200_000)
        tag = self.tag(key, size)
        body = content(tag, size)

        def call():
            upload = client.create_multipart_upload(Bucket="chaos", Key=key)["UploadId"]
            parts = []
            for number, start in enumerate([0, 5 << 20], 1):
                part = client.upload_part(Bucket="chaos", Key=key, UploadId=upload, PartNumber=number, Body=body[start:start + (5 << 20)])
                parts.append({"PartNumber": number, "ETag": part["ETag"]})
            client.complete_multipart_upload(Bucket="chaos", Key=key, UploadId=upload, MultipartUpload={"Parts": parts})

        self.attempt(key, tag, lambda: self.write(key, tag, call))

    def delete(self, client, key):
        self.attempt(key, None, lambda: self.write(key, None, lambda: client.delete_object(Bucket="chaos", Key=key)))

    def attempt(self, key, tag, call):
        if self.pending is None:
            self.pending = {}
        try:
            call()
        except BaseException as error:
            if tag in self.keys[key]:
                self.unclear(key).add(tag)
            raise error

    def get(self, client, key):
        if self.pending is None:
            self.pending = {}
        possible = set(self.keys[key])
        try:
            body = client.get_object(Bucket="chaos", Key=key)["Body"].read()
        except botocore.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404 and None not in possible:
                self.violations.append(f"get {key}: gone, though it may only be one of {sorted(possible)}")
            raise
        if not self.matches(key, body):
            self.violations.append(f"get {key}: {len(body)} bytes beginning {body[:40]!r} are none of {sorted(map(str, possible))}")


class LargeWorker(Worker):
    """One object that is larger than what is moved in one piece (TransferLimits.movePartSize), written and read now and then."""

    SIZE = 70 << 20

    def __init__(self, fleet, number, seed, stop, tally, violations):
        super().__init__(fleet, number, seed, stop, tally, violations)
        self.keys = {f"large/k{number}": {None}}

    def run(self):
        clients = [self.fleet.client(index, patience=30) for index in range(len(self.fleet.gateways))]
        key, = self.keys
        while not self.stop.wait(self.random.uniform(2, 12)):
            # Gateways die often while this is under way: it is written until it is there.
            kind = "put_large" if None in self.keys[key] else self.random.choice(["put_large", "get", "get"])
            self.operate(kind, self.choose(clients), key)

    def put_large(self, client, key):
        tag = self.tag(key, self.SIZE)
        self.attempt(key, tag, lambda: self.write(key, tag, lambda: client.put_object(Bucket="chaos", Key=key, Body=content(tag, self.SIZE))))
