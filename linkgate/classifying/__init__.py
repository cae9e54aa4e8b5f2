"""Visits that are described rather than made: read from a curl command line, a HAR file or an
access log, and judged like any other.

`described` says what a description holds, `curl`, `har` and `logs` read one, `judged` judges it.
Nothing here opens a file or asks the time.
"""

from linkgate.classifying.curl import read_curl
from linkgate.classifying.described import Described, Unreadable
from linkgate.classifying.har import read_har
from linkgate.classifying.judged import Circumstances, Classified, judge_described
from linkgate.classifying.logs import read_line

__all__ = [
    "Circumstances",
    "Classified",
    "Described",
    "Unreadable",
    "judge_described",
    "read_curl",
    "read_har",
    "read_line",
]
