#!/usr/bin/env bash
# Everything that only a GPU can show, in one go: `bash benches/gpu/run.sh PROGRAM TOKENS TOKENIZER OUT [PART...]`.
# PROGRAM is a polder-gpu that was carried here, TOKENS a token set's folder, TOKENIZER its tokenizer.json, OUT a folder for logs.
# With MASKED_TOKENS and MASKED_TOKENIZER, encoders are compared too.
# Parts: kernels, timed, bench, pytorch, losses, resume, decode, sanitizer; all by default. Each has a limit of its own, and none ends the others.
set -uo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
program=$1 tokens=$2 tokenizer=$3 out=$4
shift 4
parts=("$@")
[ ${#parts[@]} -eq 0 ] && parts=(kernels timed bench pytorch losses resume decode sanitizer)
work=$(mktemp -d)
mkdir -p "$out"

part() { # NAME LIMIT_S COMMAND...
  local name=$1 limit=$2 start=$SECONDS
  shift 2
  timeout "$limit" "$@" >"$out/$name.log" 2>&1
  local status=$?
  echo "=== $name: exit $status after $((SECONDS - start)) s"
  tail -c "${TAIL:-2500}" "$out/$name.log"
}

train() { # RUN OUT SETTINGS...
  local run=$1 model=$2
  shift 2
  "$program" train "$tokens" --run "$work/$run" --model "${MODEL:-mini}" --steps "${STEPS:-100}" --tokenizer "$tokenizer" --out "$work/$model/1" \
    --set batch_size=16 --set micro_batch_size=8 --set context=256 --set eval_every=50 --set checkpoint_every=50 "$@"
}

losses() { # the same run on the processor in f32, on the GPU in f32 and in bf16
  local family
  for family in ${FAMILIES:-mini gpt2-mini bert-mini modernbert-mini}; do
    # Encoders need tokens whose tokenizer has a token that hides others.
    case $family in
    bert* | modernbert*)
      [ -n "${MASKED_TOKENS:-}" ] || continue
      local tokens=$MASKED_TOKENS tokenizer=$MASKED_TOKENIZER
      ;;
    esac
    # At ten times this rate bf16 leaves f32 by itself, on the processor too.
    local rate="lr=${LR:-3e-4}"
    MODEL=$family train "cpu-$family" "cpu-$family" --device cpu --set "$rate" >/dev/null 2>&1 || echo "$family: the processor's run failed"
    MODEL=$family train "f32-$family" "f32-$family" --device gpu --set "$rate" >"$work/log" 2>&1 || tail -5 "$work/log"
    MODEL=$family train "bf16-$family" "bf16-$family" --device gpu --set "$rate" --set precision=bf16 >"$work/log" 2>&1 || tail -5 "$work/log"
    python3 - "$work" "$family" <<'PY'
import json, sys
work, family = sys.argv[1:]
read = lambda run: [json.loads(line)["loss"] for line in open(f"{work}/{run}-{family}/metrics.jsonl")]
try:
    cpu = read("cpu")
    for kind in ("f32", "bf16"):
        apart = [abs(a - b) for a, b in zip(cpu, read(kind))]
        print(f"{family}: {len(apart)} steps, loss {cpu[0]:.3f} to {cpu[-1]:.3f}; GPU in {kind} at most {max(apart):.5f} from the processor in f32")
except OSError as e:
    print(family, e)
PY
  done
}

resume() { # whole, and stopped after half of the steps: the same weights
  train whole whole --device gpu --set precision=bf16 >"$work/log" 2>&1 || tail -5 "$work/log"
  "$program" train "$tokens" --run "$work/stopped" --model mini --steps 100 --tokenizer "$tokenizer" --out "$work/stopped-model/1" --device gpu \
    --set batch_size=16 --set micro_batch_size=8 --set context=256 --set eval_every=50 --set checkpoint_every=10 --set precision=bf16 \
    >"$work/log" 2>&1 &
  local child=$!
  # Stop it somewhere in the middle.
  for _ in $(seq 200); do
    [ "$(wc -l 2>/dev/null <"$work/stopped/metrics.jsonl" || echo 0)" -ge 30 ] && break
    sleep 0.05
  done
  kill -INT $child 2>/dev/null
  wait $child
  echo "stopped after $(wc -l <"$work/stopped/metrics.jsonl") steps"
  "$program" train "$tokens" --run "$work/stopped" --model mini --steps 100 --tokenizer "$tokenizer" --out "$work/stopped-model/1" --device gpu \
    --set batch_size=16 --set micro_batch_size=8 --set context=256 --set eval_every=50 --set checkpoint_every=10 --set precision=bf16 2>&1 | tail -2
  sha256sum "$work/whole/1/model.safetensors" "$work/stopped-model/1/model.safetensors" | awk '{print $1}' | uniq -c
}

decode() { # the processor's text and the GPU's of a small model, and how fast one text and many grow with a larger one
  local model=$work/whole/1 device precision times
  [ -d "$model" ] || train whole whole --device gpu --set precision=bf16 >"$work/log" 2>&1
  for device in cpu gpu; do
    "$program" prompt "$model" 'The lake' --max-tokens 100 --device $device 2>/dev/null | sha256sum
  done | awk '{print $1}' | uniq -c
  model=$work/medium/1
  MODEL=medium STEPS=1 train medium medium --device gpu --set precision=bf16 >"$work/log" 2>&1 || tail -5 "$work/log"
  for precision in f32 bf16; do
    for times in 1 16 64; do
      "$program" prompt "$model" 'The lake' --max-tokens 200 --temperature 0.8 --device gpu --precision $precision --times $times 2>&1 >/dev/null |
        tail -1 | sed "s/^/$precision, $times at once: /"
    done
  done
}

bench() {
  "$program" train --bench --device gpu --model gpt2-124m --set context=1024 --set batch_size="${BATCH:-32}" --set micro_batch_size="${BATCH:-32}" --set precision=bf16
}

export -f train losses resume decode bench
export program tokens tokenizer work
for name in "${parts[@]}"; do
  case $name in
  kernels) part kernels 110 "$program" kernels check --untimed --seed "${SEED:-$RANDOM}" ;;
  timed) TAIL=9000 part timed 120 "$program" kernels check --only "${ONLY:-}" --seed 7 ;;
  bench) TAIL=4000 part bench 60 bash -c bench ;;
  pytorch) part pytorch 150 python3 "$here/pytorch.py" --batch "${BATCH:-32}" ;;
  losses) part losses 110 bash -c losses ;;
  resume) part resume 60 bash -c resume ;;
  decode) part decode 60 bash -c decode ;;
  sanitizer) part sanitizer 75 compute-sanitizer --error-exitcode 9 "$program" kernels check --small --only "${ONLY:-}" ;;
  *) echo "no part is called $name" ;;
  esac
done
rm -rf "$work"
