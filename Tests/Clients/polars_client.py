"""polars, on Rust's object_store: parquet written, scanned with a filter, listed by pattern."""

import os

import polars

from steps import BUCKET, CA, ENDPOINT, IS_TLS, KEY_ID, SECRET, finish, step

OPTIONS = {
    "aws_access_key_id": KEY_ID, "aws_secret_access_key": SECRET, "aws_endpoint_url": ENDPOINT, "aws_region": "us-east-1",
    "aws_allow_http": "true",
}
frame = polars.DataFrame({"n": range(200_000), "t": [f"text {i % 97}" for i in range(200_000)]})
with step("parquet, written and read"):
    frame.write_parquet(f"s3://{BUCKET}/polars/a.parquet", storage_options=OPTIONS)
    assert polars.read_parquet(f"s3://{BUCKET}/polars/a.parquet", storage_options=OPTIONS).equals(frame)
with step("odd keys"):
    for key in ["with space", "plus+plus", "ünï/çødé", "percent%41", "semi;colon,comma=equals@at"]:
        frame.write_parquet(f"s3://{BUCKET}/polars odd/{key}.parquet", storage_options=OPTIONS)
        assert polars.read_parquet(f"s3://{BUCKET}/polars odd/{key}.parquet", storage_options=OPTIONS, glob=False).equals(frame), key
with step("a scan with a filter over many files"):
    frame.write_parquet(f"s3://{BUCKET}/polars/b.parquet", storage_options=OPTIONS)
    count = polars.scan_parquet(f"s3://{BUCKET}/polars/*.parquet", storage_options=OPTIONS).filter(polars.col("n") < 10).collect().height
    assert count == 20, count
finish()
