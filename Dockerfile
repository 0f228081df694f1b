# The worker. The API is the same image with another command: docker run IMAGE gunicorn "api:create_app()"
# So is a worker that grows and shrinks with its work: docker run IMAGE python worker.py --min 1 --max 8
# Built by Railway, and by docker-compose.yml.
#
# Python as in .python-version. The specification's 3.10 is too old for numpy 2.4.6, pymongo 4.20.0, dnspython 2.9.2
# and regex 2026.11.15, which requirements.txt pins and which need 3.11.
FROM python:3.13-slim

WORKDIR /app

# Before the code: a change of the code does not install everything again.
COPY requirements.txt requirements-ocr.txt .
# The CAs by which Redis and MongoDB are known; the language data of text recognition, whose library is in the wheel.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates tesseract-ocr-eng && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir -r requirements.txt -r requirements-ocr.txt

COPY . .
# The lookup tables of the pipeline.
RUN python -m pipeline.warm

# Nothing in /app is written to; downloads go to /tmp.
RUN useradd --system docdeck
USER docdeck

# The API is asked. A worker needs no question: one whose loop hangs ends itself, and the container with it.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", "\
import http.client as http, os;\
api = b'gunicorn' in open('/proc/1/cmdline', 'rb').read();\
there = http.HTTPConnection('127.0.0.1', int(os.environ.get('PORT') or 8000), timeout=4);\
api and there.request('GET', '/healthz');\
exit(api and there.getresponse().status != 200)"]

# The list form: SIGTERM has to reach Python and not a shell.
CMD ["python", "worker.py"]
