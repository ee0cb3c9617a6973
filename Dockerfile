# A small image that serves runs:
#
#   docker build -t unrolled --build-arg TORCH_INDEX=ADDRESS .     the index of torch's CPU builds, see docs/install.md
#   docker run -v "$PWD/runs:/runs:ro" -p 127.0.0.1:8000:8000 -e UNROLLED_TOKEN=… unrolled /runs/films-gru-1
#
# It listens on all addresses of the container, so it needs a token of at least 16 characters.
FROM python:3.12 AS build
ARG TORCH_INDEX
WORKDIR /build
COPY . .
RUN python -m venv /app \
    && /app/bin/pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$(grep ^torch== constraints.txt)" \
    && /app/bin/pip install --no-cache-dir -c constraints.txt '.[serve]' \
    && cp "$(g++ -print-file-name=libgomp.so.1)" /app/lib/

FROM python:3.12-slim
RUN useradd --system --uid 10001 --no-create-home unrolled
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH \
    LD_LIBRARY_PATH=/app/lib \
    OMP_NUM_THREADS=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["unrolled", "serve", "--host", "0.0.0.0"]
