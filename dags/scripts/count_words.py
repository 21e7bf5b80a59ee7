"""Counts the words of its first argument and prints the result as JSON."""

import json
import sys

words = sys.argv[1].split()
print("counting", len(words), "words", file=sys.stderr)
print(json.dumps({"words": len(words), "longest": max(words, key=len, default="")}))
