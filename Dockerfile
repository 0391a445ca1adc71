# syntax=docker/dockerfile:1
# Another image with Python 3.11 or newer may stand in for this one: --build-arg BASE=…
ARG BASE=python:3.13-slim
FROM ${BASE} AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv /opt/watchmark

COPY requirements.lock ./
RUN /opt/watchmark/bin/pip install --require-hashes -r requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY webhook webhook
COPY migrations migrations
COPY tests/fakes tests/fakes
RUN /opt/watchmark/bin/pip install --no-deps --no-build-isolation . \
    # what only built the above is not shipped, nor are the names of months in languages that no page is in, what
    # libraries bring for the tests of others, and what was compiled
    && find /opt/watchmark -path '*/babel/locale-data/*' ! -name 'en*' ! -name 'de*' ! -name root.dat -delete \
    && /opt/watchmark/bin/pip uninstall --yes hatchling trove-classifiers pathspec pluggy setuptools pip \
    && rm -r /opt/watchmark/lib/python3*/site-packages/sqlalchemy/testing \
        /opt/watchmark/lib/python3*/site-packages/alembic/testing \
    && find /opt/watchmark/lib -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.[ch]' \) -delete \
    && /opt/watchmark/bin/python -m compileall -q /opt/watchmark/lib


FROM ${BASE}

RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin watchmark \
    && install --directory --owner=10001 --group=10001 --mode=0700 /data \
    # read-only, Podman's and Kubernetes' containers have nothing else that says what they are
    && touch /etc/watchmark-image
COPY --from=build /opt/watchmark /opt/watchmark

ENV PATH=/opt/watchmark/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DATA_DIR=/data \
    HOST=0.0.0.0
WORKDIR /data
USER 10001:10001
VOLUME /data
EXPOSE 8484

HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["python", "-c", "\
import http.client, os, sys; \
service = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PORT', '8484')), timeout=4); \
service.request('GET', '/readyz'); \
sys.exit(service.getresponse().status != 200)"]

ENTRYPOINT ["watchmark"]
CMD ["serve"]
