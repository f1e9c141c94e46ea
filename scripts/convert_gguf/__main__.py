"""Converts a GGUF file into a Hugging Face model folder that templora and transformers open.

FILE is a Llama, Qwen 2 or Qwen 3 in any type that the Python package gguf can dequantise; DIR is made, and must not
hold anything yet. The quantised weights become plain ones of --dtype: what quantisation lost does not come back.
What is not known of the file's keys, tensors or pre-tokenizer is refused by name. provenance.json in the folder says
what it was made of.
"""

import argparse
import sys

from .errors import USAGE, Refused
from .folder import convert
from .weights import STORED_AS


class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise Refused(f"{self.prog}: {message}; see {self.prog} --help", USAGE)


def main():
    parser = Parser(prog="scripts/convert-gguf", description=__doc__,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument("--dtype", choices=sorted(STORED_AS), default="float16",
                        help="of the weights in the folder (default float16: nearer to what is stored than bfloat16)")
    try:
        given = parser.parse_args()
        made = convert(given.file, given.folder, given.dtype)
    except Refused as error:
        print(f"templora: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return 130
    print(f"{given.folder}: {made['source']['architecture']}, {made['dtype']}, made of "
          f"{', '.join(f'{count} tensors {kind}' for kind, count in made['source']['tensor_types'].items())}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
