# docker build -t doelband .        and to run it: deploy/compose.yaml

FROM python:3.13-slim AS build
WORKDIR /build
RUN python -m venv /opt/doelband
COPY requirements-codecs.lock .
RUN /opt/doelband/bin/pip install --no-cache-dir --require-hashes -r requirements-codecs.lock
COPY requirements-dev.lock .
RUN python -m venv /opt/builder \
    && /opt/builder/bin/pip install --no-cache-dir --require-hashes -r requirements-dev.lock
COPY pyproject.toml README.md ./
COPY recorder recorder
COPY sip_hooks sip_hooks
COPY storage storage
COPY purge purge
COPY portal portal
RUN /opt/builder/bin/hatchling build -t wheel \
    && /opt/doelband/bin/pip install --no-cache-dir --no-deps --no-index dist/*.whl

FROM python:3.13-slim
RUN useradd --system --uid 973 --home-dir /var/lib/doelband --shell /usr/sbin/nologin doelband \
    && install -d -o doelband -g doelband -m 0700 /run/doelband \
        /var/lib/doelband/storage /var/lib/doelband/keys /var/lib/doelband-epoch
COPY --from=build /opt/doelband /opt/doelband
ENV PATH=/opt/doelband/bin:$PATH PYTHONUNBUFFERED=1
USER doelband
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s CMD ["doelband", "status", "--health"]
ENTRYPOINT ["doelband"]
CMD ["serve", "--config", "/etc/doelband/config.toml"]
