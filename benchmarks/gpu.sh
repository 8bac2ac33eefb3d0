#!/usr/bin/env bash
# Everything that is to be measured on an accelerator: bash benchmarks/gpu.sh OUT [try]
#
# Writes one JSON or text file per question into OUT. "try" takes sizes at which it all ends in
# minutes on a CPU, to see that it works. A part that fails is named at the end, the others go on.
set -uo pipefail
out=${1:?"usage: gpu.sh OUT [try]"}
root=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
mkdir -p "$out"

step_batches=(32 128 512 1024) generate_batches=(1 64 1024) jet_batches=(64 256 1024 4096)
resolutions=(1 3) precisions=(float32 bfloat16) short=(f32 bf16) jets=8192 rounds=5
sizes=(--complete) mlpf_sizes=(--complete --batch-size 16)
scaling=(--config gan3d/published --events 128)
if [ "${2:-}" = try ]; then
    step_batches=(2) generate_batches=(2) jet_batches=(64) jets=128 rounds=1 resolutions=(1)
    precisions=(float32) short=(f32)
    scaling=(--events 1 --updates 1)
    sizes=(--events 8 --batch-size 4) mlpf_sizes=(--events 2 --batch-size 1)
fi

failed=()
part() { # NAME COMMAND...: standard output to OUT/NAME.txt as well
    echo "== $1: ${*:2}"
    "${@:2}" | tee "$out/$1.txt" || failed+=("$1")
}

part doctor hepjax doctor
# The published update of the 3DGAN; 180,000 showers in 29 s are 6,207 events/s (256 Xeon nodes).
part train_step python -m benchmarks.speed.train_step --no-torch --batch "${step_batches[@]}" \
    --precision "${precisions[@]}" --rounds "$rounds" --json "$out/train_step.json"
part generate python -m benchmarks.speed.generate --no-torch --batch "${generate_batches[@]}" \
    --precision "${precisions[@]}" --rounds "$rounds" --json "$out/generate.json"
# Weak and strong scaling over the accelerators of this machine.
part scaling python -m benchmarks.scaling.measured "${scaling[@]}" \
    --rounds "$rounds" --json "$out/scaling.json"
# Jets a second of the ResNet-15, densifying included; published: V100 2,246, TPUv3-8 3,048.
for batch in "${jet_batches[@]}"; do
    for precision in "${precisions[@]}"; do
        part "jets-$batch-$precision" python -m benchmarks.speed.jet_input \
            --resolution "${resolutions[@]}" --reader packed "packed, resident" --batch "$batch" --precision "$precision" \
            --jets $((jets > 2 * batch ? jets : 2 * batch)) --rounds "$rounds" \
            --out "$out/jets-$batch-$precision.json"
    done
done
# Events a second in training; published for mlpf: A100 45.6, V100 16.7, Xeon 3.0.
for workload in gan3d tagger; do
    part "bench-$workload" hepjax bench "$workload" "${sizes[@]}" --epochs 3 --out "$out"
done
for precision in "${short[@]}"; do
    part "bench-mlpf-$precision" hepjax bench mlpf "${mlpf_sizes[@]}" --epochs 3 \
        --precision "$precision" --out "$out/$precision"
done

if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}" >&2
    exit 1
fi
