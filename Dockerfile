# The dashboard, and with another command everything else of FER Bench:
#
#   docker build -t fer-bench . && docker run --rm -p 127.0.0.1:8501:8501 fer-bench
#   docker build -t fer-bench --build-arg TORCH_INDEX=URL .
#
# The second takes PyTorch from another package index, such as the one PyTorch's site names for
# builds without CUDA: the image is gigabytes smaller.

FROM python:3.11.14-slim-bookworm AS builder
ARG TORCH_INDEX=
ENV PATH="/opt/venv/bin:$PATH" \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python3 -m venv /opt/venv
# Before any source, so that only a changed list installs anything again.
COPY requirements.txt ./
RUN grep -E '^torch(vision)?[<>=]' requirements.txt > torch.txt \
    && pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} -r torch.txt
RUN pip install -r requirements.txt

FROM python:3.11.14-slim-bookworm
LABEL org.opencontainers.image.title="FER Bench" \
      org.opencontainers.image.description="Honest, reproducible benchmarks for facial emotion recognition" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11.14-slim-bookworm"
# The cache lies where a read-only container has its tmpfs.
ENV PATH="/opt/venv/bin:$PATH" \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    FER_BENCH_CACHE=/tmp/fer_bench
RUN useradd --uid 10001 --create-home fer
COPY --from=builder /opt/venv /opt/venv
WORKDIR /app
COPY . ./
USER 10001
EXPOSE 8501 8010
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["streamlit", "run", "app.py", "--server.address=0.0.0.0", "--server.port=8501", "--server.headless=true"]
