#!/usr/bin/env python3
"""Signs one request of each kind and writes a wrk script for it; also measures CPU and memory of processes.

Signature V4 signs the time, not the body's place in a stream of requests, so one signed GET may be sent again and again
for 15 minutes: wrk can load the gateway with real, authenticated requests.
"""
import datetime
import hashlib
import hmac
import sys
import urllib.parse


def sign(method, host, path, key, secret, payload, region="us-east-1"):
    now = datetime.datetime.now(datetime.timezone.utc)
    stamp, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    digest = hashlib.sha256(payload).hexdigest()
    headers = {"host": host, "x-amz-content-sha256": digest, "x-amz-date": stamp}
    names = ";".join(sorted(headers))
    canonical = "\n".join(
        [method, urllib.parse.quote(path), "", *[f"{n}:{headers[n]}" for n in sorted(headers)], "", names, digest])
    scope = f"{day}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    token = ("AWS4" + secret).encode()
    for part in [day, region, "s3", "aws4_request"]:
        token = hmac.new(token, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(token, text.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return headers


def main():
    output, method, host, path, size = sys.argv[1:6]
    payload = b"x" * int(size) if method == "PUT" else b""
    headers = sign(method, host, path, "photoskey", "photossecret", payload)
    with open(output, "w") as file:
        file.write(f'wrk.method = "{method}"\n')
        if payload:
            file.write(f'wrk.body = string.rep("x", {len(payload)})\n')
        for name, value in headers.items():
            if name != "host":
                file.write(f'wrk.headers["{name}"] = "{value}"\n')


main()
