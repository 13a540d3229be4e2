#!/usr/bin/env bash
# Run benchmarks/gpu_check.py with nothing installed but what the machine has and what benchmarks/pack_wheels.sh packed.
#
#   benchmarks/gpu_check.sh --stage      # put what lies in .wheels by, for a carrier that takes only so much at a time
#   benchmarks/gpu_check.sh [OPTION...]  # the same, then install it all and run; options are those of gpu_check.py
set -u -o pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
wheels=${WHEELS:-.wheels}
home=${GPU_CHECK_HOME:-/tmp/kinema-gpu-check} # outlives a call, where the machine does
stage=$home/stage
site=$home/site

if [ -d "$wheels" ]; then
	mkdir -p "$stage" && cp "$wheels"/* "$stage/" || exit 1
fi
if [ "${1:-}" = --stage ]; then
	ls -l "$stage"
	exit
fi

if [ -d "$stage" ]; then
	for first in "$stage"/*.part-000; do
		[ -e "$first" ] || continue
		name=${first%.part-000}
		cat "$name".part-* >"$name" && rm "$name".part-* || exit 1
	done
	for wheel in "$stage"/*.whl; do
		[ -e "$wheel" ] || continue
		# Each alone: one that is damaged, or does not fit this Python, leaves the others.
		if (cd "$stage" && grep -F " $(basename "$wheel")" SHA256SUMS | sha256sum --check --quiet) &&
			"$python" -m pip install -q --disable-pip-version-check --no-index --no-deps --no-compile --no-cache-dir \
				--upgrade --target "$site" "$wheel"; then
			rm "$wheel" # the next call finds it installed
		else
			echo "gpu_check: $(basename "$wheel") cannot be installed here" >&2
		fi
	done
fi

# What was carried comes before what the machine has: onnxruntime-gpu takes the place of onnxruntime.
export PYTHONPATH="core:server:client:protos:trainer:.:$site${PYTHONPATH:+:$PYTHONPATH}"
exec "$python" -m benchmarks.gpu_check "$@"
