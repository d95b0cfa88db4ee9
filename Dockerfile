# syntax=docker/dockerfile:1

# docker build --build-arg EXTRAS=local .    adds the embedded model, 1.1 GB, for which no key is needed
# The same image from the same sources: docs/deploying.md. A tag moves, a digest does not: PYTHON=3.11-slim-bookworm@sha256:…
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
RUN pip install --no-cache-dir --disable-pip-version-check uv==0.13.9
WORKDIR /opt/waggle
# Compiled files go by what their sources hold, not by when they were written, which differs from build to build.
ENV UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1 PYC_INVALIDATION_MODE=UNCHECKED_HASH
# The lock's versions and hashes; the project itself is not installed but copied, so that its changes stay cheap.
COPY pyproject.toml uv.lock ./
ARG EXTRAS=""
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --frozen --no-dev --no-install-project $(for extra in ${EXTRAS}; do echo --extra $extra; done)
COPY app app
RUN .venv/bin/python -m compileall -q --invalidation-mode checked-hash app

FROM python:${PYTHON}
# tini reaps the embedded model's process and passes signals on; libgomp1 is what llama.cpp links to.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 tini \
    && rm -rf /var/lib/apt/lists/* \
    && find /var/cache /var/log -type f -delete \
    && install -d -o 10001 -g 10001 /data
WORKDIR /opt/waggle
COPY --from=build /opt/waggle /opt/waggle
COPY LICENSE ./

# HOST without AUTH: the service refuses to start, and says why, until whoever runs it decides who may reach it:
#   docker run -e AUTH=none -p 127.0.0.1:8000:8000 -v waggle:/data waggle
# Only /data and /tmp are written to: --read-only --tmpfs /tmp works.
ENV PATH=/opt/waggle/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    HOST=0.0.0.0 \
    PORT=8000 \
    DATA_DIR=/data \
    MODEL_CACHE_DIR=/data/models \
    AGENTS_DIR=/agents
USER 10001:10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-c", "import os; from urllib.request import ProxyHandler, build_opener; build_opener(ProxyHandler({})).open('http://127.0.0.1:' + os.environ['PORT'] + '/livez', timeout=4)"]
ENTRYPOINT ["tini", "--"]
CMD ["python", "-m", "app"]
