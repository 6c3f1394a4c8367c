"""Checks that folders which transformers wrote go through the program unchanged: in, out, and loaded again with the same logits.

usage: python check_model_import.py POLDER DIR    (POLDER is the program; writes below DIR; exit status 1 when something differs)

The folders are those of check_families.py: Llama, Qwen 2, Qwen 3, GPT-2, BERT and ModernBERT, in one file and several, in f32, f16 and
bf16. Every file that goes out must be the one that came in, transformers must load it without a missing or strange tensor, and
its logits must be equal bit for bit. Run with PyTorch 2.15 and transformers 5.23.
"""

import pathlib
import subprocess
import sys

import check_families
import numpy as np
import transformers


def run(program, lake, *words):
    said = subprocess.run([program, "--lake", lake, *words], capture_output=True, text=True)
    if said.returncode != 0:
        sys.exit(f"polder {' '.join(map(str, words))}: {said.stderr}")


def main(program, folder):
    check_families.make(folder)
    lake = folder / "lake"
    run(program, lake, "init")
    failed = False
    for path in sorted((folder / "theirs").iterdir()):
        out = folder / "exported" / path.name
        out.parent.mkdir(exist_ok=True)
        run(program, lake, "model", "import", path.name, path)
        run(program, lake, "model", "export", f"models/{path.name}", out)
        names = sorted(p.name for p in out.iterdir())
        same = names == sorted(p.name for p in path.iterdir()) and all((out / n).read_bytes() == (path / n).read_bytes() for n in names)
        before, _ = check_families.load(path)
        after, info = check_families.load(out)
        strange = any(info.values()) and "pretraining" not in path.name and path.name != "gpt2-bare"
        logits = [check_families.theirs(model) for model in (before, after)]
        equal = np.array_equal(logits[0], logits[1]) and np.isfinite(logits[0]).all()
        bad = strange or not same or not equal
        failed |= bad
        print(f"{path.name:24} {len(names)} files {'the same' if same else 'DIFFER'}, {logits[0].size} numbers {'equal' if equal else 'DIFFER'}")
    print(f"transformers {transformers.__version__}: {'something differs' if failed else 'all the same'}")
    return 1 if failed else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])))
