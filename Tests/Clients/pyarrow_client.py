"""pyarrow, on the AWS SDK for C++: files, parquet, listing, deletion."""

import pyarrow
import pyarrow.fs
import pyarrow.parquet

from steps import BUCKET, CA, ENDPOINT, IS_TLS, KEY_ID, ODD, SECRET, SIZES, content, finish, step

if IS_TLS:
    pyarrow.fs.initialize_s3(pyarrow.fs.S3LogLevel.Fatal)
fs = pyarrow.fs.S3FileSystem(
    access_key=KEY_ID, secret_key=SECRET, endpoint_override=ENDPOINT.split("://")[1], scheme=ENDPOINT.split("://")[0], region="us-east-1",
    **({"tls_ca_file_path": CA} if IS_TLS else {}))
BASE = f"{BUCKET}/arrow"

with step("streams of every size"):
    for name in SIZES:
        with fs.open_output_stream(f"{BASE}/{name}") as stream:
            stream.write(content(name))
        with fs.open_input_stream(f"{BASE}/{name}") as stream:
            assert stream.read() == content(name), name
with step("random access"):
    with fs.open_input_file(f"{BASE}/small") as file:
        file.seek(1000)
        assert file.read(50) == content("small")[1000:1050]
with step("odd keys, a copy, metadata"):
    for key in [*ODD, "q?x=1&y", "hash#1"]:
        with fs.open_output_stream(f"{BASE}-odd/{key}", metadata={"Content-Type": "text/x-a", "n": "value"}) as stream:
            stream.write(content(key))
        fs.copy_file(f"{BASE}-odd/{key}", f"{BASE}-copy/{key}")
        with fs.open_input_stream(f"{BASE}-copy/{key}") as stream:
            assert stream.read() == content(key), key
            found = stream.metadata()
            assert found["Content-Type"] == b"text/x-a", found
    found = {info.path for info in fs.get_file_info(pyarrow.fs.FileSelector(f"{BASE}-copy", recursive=True)) if info.is_file}
    assert found == {f"{BASE}-copy/{key}" for key in [*ODD, "q?x=1&y", "hash#1"]}, found
with step("parquet"):
    table = pyarrow.table({"n": list(range(100_000)), "t": [f"text {i}" for i in range(100_000)]})
    pyarrow.parquet.write_table(table, f"{BASE}/t.parquet", filesystem=fs)
    assert pyarrow.parquet.read_table(f"{BASE}/t.parquet", filesystem=fs).equals(table)
with step("listing, move, deletion"):
    names = {info.base_name for info in fs.get_file_info(pyarrow.fs.FileSelector(BASE))}
    assert names == set(SIZES) | {"t.parquet"}, names
    fs.move(f"{BASE}/one", f"{BASE}/moved")
    with fs.open_input_stream(f"{BASE}/moved") as stream:
        assert stream.read() == content("one")
    fs.delete_dir_contents(BASE)
    assert [i for i in fs.get_file_info(pyarrow.fs.FileSelector(BASE, allow_not_found=True))] == []
finish()
