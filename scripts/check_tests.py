#!/usr/bin/env python3
"""Checks that every test case carries a label that CTest selects: [unit] [parity] [cli] [slow] or [gpu].

CTest runs tests by these tags, so a test without one would never run.
"""

import glob
import os
import re
import sys

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LABELS = re.compile(r"\[(unit|parity|cli|slow|gpu)\]")
CASE = re.compile(r'\b(TEST_CASE|SCENARIO|TEMPLATE_TEST_CASE)\(\s*'
                  r'((?:"(?:[^"\\]|\\.)*"\s*)+)(?:,\s*((?:"[^"]*"\s*)+))?')


def main():
    cases, findings = 0, []
    for path in sorted(glob.glob(os.path.join(REPOSITORY, "tests", "*", "*.cpp"))):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for match in CASE.finditer(text):
            cases += 1
            if not LABELS.search(match.group(3) or ""):
                line = text.count("\n", 0, match.start()) + 1
                findings.append(f"{os.path.relpath(path, REPOSITORY)}:{line}: no label in {match.group(2).strip()}")
    if cases == 0:
        findings.append("tests: no test case found")
    for finding in findings:
        print(finding)
    print(f"check_tests: {cases} test cases, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
