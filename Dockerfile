# docker build --target cpu -t ar4d:cpu .     or     docker build --target cuda -t ar4d:cuda .
# TORCH_INDEX is the package index of torch's builds for one kind of device, as torch's installation page names
# it. For cpu it keeps several GB of CUDA libraries out of the image; cuda needs one that fits CUDA_IMAGE.
ARG CUDA_IMAGE=nvidia/cuda:12.8.1-devel-ubuntu24.04

FROM python:3.11-slim-bookworm AS cpu-python

# The image with nvcc, because gsplat compiles its kernels when it is first used.
FROM ${CUDA_IMAGE} AS cuda-python
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-dev python3-venv g++ ninja-build \
    && rm -rf /var/lib/apt/lists/*

FROM scratch AS source
COPY app.py requirements.txt LICENSE /srv/ar4d/
COPY ar4d /srv/ar4d/ar4d
COPY app /srv/ar4d/app
COPY assets/examples /srv/ar4d/assets/examples
COPY assets/example_run /srv/ar4d/assets/example_run

FROM cpu-python AS cpu-packages
ARG TORCH_INDEX=""
COPY requirements.txt /tmp/requirements.txt
RUN python3 -m venv /opt/ar4d \
    && /opt/ar4d/bin/pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -r /tmp/requirements.txt

FROM cuda-python AS cuda-packages
ARG TORCH_INDEX=""
COPY requirements.txt /tmp/requirements.txt
RUN python3 -m venv /opt/ar4d \
    && /opt/ar4d/bin/pip install --no-cache-dir ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -r /tmp/requirements.txt

FROM cpu-packages AS cpu
RUN useradd --create-home --uid 10001 ar4d && install -d -o ar4d -g ar4d /data
COPY --from=source /srv/ar4d /srv/ar4d
ENV PATH=/opt/ar4d/bin:$PATH PYTHONUNBUFFERED=1 GRADIO_SERVER_NAME=0.0.0.0 \
    AR4D_RUNS=/data/runs AR4D_LOG_FORMAT=json HF_HOME=/data/huggingface NUMBA_CACHE_DIR=/data/numba
WORKDIR /srv/ar4d
USER ar4d
VOLUME /data
EXPOSE 7860
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/healthz', timeout=8)"]
CMD ["python", "app.py"]

FROM cuda-packages AS cuda
RUN useradd --create-home --uid 10001 ar4d && install -d -o ar4d -g ar4d /data
COPY --from=source /srv/ar4d /srv/ar4d
ENV PATH=/opt/ar4d/bin:$PATH PYTHONUNBUFFERED=1 GRADIO_SERVER_NAME=0.0.0.0 \
    AR4D_RUNS=/data/runs AR4D_LOG_FORMAT=json HF_HOME=/data/huggingface NUMBA_CACHE_DIR=/data/numba \
    TORCH_EXTENSIONS_DIR=/data/torch_extensions
WORKDIR /srv/ar4d
USER ar4d
VOLUME /data
EXPOSE 7860
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/healthz', timeout=8)"]
CMD ["python", "app.py"]
