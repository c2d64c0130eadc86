"""Compares a run of Ceph's S3 tests with the list of tests that are known not to pass, each with its reason."""

import sys
import xml.etree.ElementTree as ElementTree


def known(path):
    """Test name -> reason. A line is `name  reason`; `# …` is a comment."""
    reasons = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            line = line.strip()
            if line and not line.startswith("#"):
                name, _, reason = line.partition("  ")
                reasons[name] = reason.strip()
    return reasons


def main():
    report, listed = sys.argv[1:]
    passed, failed, skipped = set(), set(), set()
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag for child in case}
        (failed if kinds & {"failure", "error"} else skipped if "skipped" in kinds else passed).add(case.get("name"))
    reasons = known(listed)
    new = sorted(failed - reasons.keys())
    better = sorted(passed & reasons.keys())
    for name in new:
        print(f"REGRESSION {name}")
    for name in better:
        print(f"passes now, take it off the list: {name}")
    print(f"ceph/s3-tests: {len(passed)} passed, {len(failed)} failed ({len(failed) - len(new)} known), {len(skipped)} skipped")
    sys.exit(1 if new or better else 0)


main()
