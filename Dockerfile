# The decision service. docker build -t thresher . ; see docs/guides/service.md.
FROM python:3.11-slim

WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir '.[serve,postgres]' \
    && useradd --create-home --uid 1000 thresher
USER thresher

# Mount the artifact here; the folder is read, never written to.
VOLUME /artifact
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
ENTRYPOINT ["thresher"]
CMD ["serve", "/artifact", "--host", "0.0.0.0"]
