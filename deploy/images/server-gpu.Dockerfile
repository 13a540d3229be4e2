# The server beside a GPU: TensorRT-RTX, ONNX Runtime's CUDA build and NVIDIA's libraries, from PyPI; the driver comes
# from the host. `auto` takes the first of them that runs, and the metric kinema_engine_info tells which. It was never
# run on a GPU: docs/gpu.md. NVIDIA's libraries are of the versions that ONNX Runtime asks for, which are ranges: pin
# the image that you built. From the root of the repository:
#     docker build -f deploy/images/server-gpu.Dockerfile -t kinema-server-gpu:0.1.0 .
FROM python:3.12.12-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY protos protos
COPY core core
COPY server server
COPY client client
COPY trainer trainer
# Without its extra, kinema[train], the trainer's few files come without torch.
RUN python -m venv /opt/kinema \
    && /opt/kinema/bin/pip install --no-cache-dir --constraint constraints.txt hatchling==1.33.0 setuptools==84.2.1 \
    && /opt/kinema/bin/pip install --no-cache-dir --constraint constraints.txt --no-build-isolation '.[tensorrt-rtx,tracing]' \
    && /opt/kinema/bin/pip uninstall --yes hatchling setuptools onnxruntime \
    && /opt/kinema/bin/pip install --no-cache-dir --constraint constraints.txt 'onnxruntime-gpu[cuda,cudnn]==1.31.1'

FROM python:3.12.12-slim-bookworm
LABEL org.opencontainers.image.title="Kinema server with CUDA" \
    org.opencontainers.image.version="0.1.0" \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/kinema /opt/kinema
# The root may be read-only: films that are being sent lie in /tmp, nothing else is written.
ENV HOME=/tmp \
    PATH=/opt/kinema/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    KINEMA_HOST=0.0.0.0 \
    KINEMA_PORT=50051 \
    KINEMA_METRICS_PORT=9090 \
    KINEMA_HEALTH_PORT=50052 \
    KINEMA_LOG_FORMAT=json
USER 65532:65532
WORKDIR /tmp
EXPOSE 50051 50052 9090
STOPSIGNAL SIGTERM
# For Docker alone; Kubernetes asks the health service.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9090/metrics', timeout=4)"]
ENTRYPOINT ["kinema"]
CMD ["serve"]
