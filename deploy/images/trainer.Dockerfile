# The trainer; on a GPU where the host gives it one. Runs and data are mounted. From the root of the repository:
#     docker build -f deploy/images/trainer.Dockerfile -t kinema-trainer:0.1.0 .
#     docker run --rm --read-only --tmpfs /tmp -v photos:/data:ro -v runs:/runs kinema-trainer:0.1.0 \
#         train default --data /data --out /runs/default
FROM python:3.12.12-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY protos protos
COPY core core
COPY server server
COPY client client
COPY trainer trainer
RUN python -m venv /opt/kinema \
    && /opt/kinema/bin/pip install --no-cache-dir --constraint constraints.txt hatchling==1.33.0 \
    && /opt/kinema/bin/pip install --no-cache-dir --constraint constraints.txt --no-build-isolation '.[train]' \
    && /opt/kinema/bin/pip uninstall --yes hatchling

FROM python:3.12.12-slim-bookworm
LABEL org.opencontainers.image.title="Kinema trainer" \
    org.opencontainers.image.version="0.1.0" \
    org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/kinema /opt/kinema
ENV HOME=/tmp \
    PATH=/opt/kinema/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["kinema"]
CMD ["train", "--help"]
