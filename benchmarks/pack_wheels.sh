#!/usr/bin/env bash
# Pack wheels for a GPU machine without a network, in chunks that a carrier with a limit takes.
#
#   benchmarks/pack_wheels.sh [FOLDER] [REQUIREMENT...]
#
# FOLDER is .wheels by default, which git ignores. benchmarks/gpu_check.sh joins the chunks, checks their digests and
# installs them beside the machine's own packages.
set -eu -o pipefail
cd "$(dirname "$0")/.."

folder=${1:-.wheels}
[ $# -gt 0 ] && shift
python=${PYTHON:-python3}
chunk=${CHUNK_BYTES:-$((60 * 1024 * 1024))}
target_python=${TARGET_PYTHON:-3.12}

if [ $# -eq 0 ]; then # what gpu_check tries and needs; torch, NumPy, OpenCV and onnx are to be there
	set -- onnxruntime-gpu tensorrt-rtx-cu13 tensorrt-rtx-cu13-bindings tensorrt-rtx-cu13-libs cuda-bindings cuda-pathfinder \
		grpcio protobuf googleapis-common-protos # of the server, whose scheduler the part `frames` runs
fi

platforms=()
for glibc in 17 27 28 31 34 35; do platforms+=(--platform "manylinux_2_${glibc}_x86_64"); done
platforms+=(--platform manylinux2014_x86_64 --platform linux_x86_64)

mkdir -p "$folder"
for requirement in "$@"; do # one that is not to be had leaves the others
	"$python" -m pip download -q --no-deps --only-binary=:all: --python-version "$target_python" --implementation cp \
		"${platforms[@]}" --dest "$folder" "$requirement" || echo "pack_wheels: $requirement is not to be had" >&2
done

cd "$folder"
rm -f SHA256SUMS ./*.part-*
for wheel in *.whl; do
	[ -e "$wheel" ] || continue
	sha256sum "$wheel" >>SHA256SUMS
	if [ "$(stat -c %s "$wheel")" -gt "$chunk" ]; then
		split --bytes="$chunk" --numeric-suffixes --suffix-length=3 "$wheel" "$wheel.part-"
		rm "$wheel"
	fi
done
ls -l
