# The decision service. docker build -t thresher . ; see docs/guides/service.md.
FROM python:3.11-slim

WORKDIR /app
COPY pyproject.toml README.md LICENSE .ci/constraints.txt ./
COPY src src
# hadolint ignore=DL3013 - constraints.txt pins the versions
RUN pip install --no-cache-dir --constraint constraints.txt '.[serve,postgres]' \
    && useradd --create-home --uid 1000 thresher
USER 1000

# Mount the artifact here; the folder is read, never written to.
VOLUME /artifact
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
ENTRYPOINT ["thresher"]
CMD ["serve", "/artifact", "--host", "0.0.0.0"]
