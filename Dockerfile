# docker build -t doelband .
# docker run --network host --read-only --tmpfs /run/doelband --ulimit core=0 --memory-swappiness 0 \
#   -v ./config.toml:/etc/doelband/config.toml:ro -v clips:/var/lib/doelband -v keys:/var/lib/doelband-keys doelband
#
# Host networking: the media ports are many and random, and SDP names them. Keep [storage] and [keys] on volumes of
# their own, and the epoch keys on a third, or one backup of everything brings back what was destroyed.

FROM python:3.13-slim AS build
WORKDIR /build
RUN python -m venv /opt/doelband
COPY requirements.lock .
RUN /opt/doelband/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
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
    && install -d -o doelband -g doelband -m 0700 /var/lib/doelband /var/lib/doelband-keys /run/doelband
COPY --from=build /opt/doelband /opt/doelband
ENV PATH=/opt/doelband/bin:$PATH PYTHONUNBUFFERED=1
USER doelband
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s CMD ["doelband", "status", "--health"]
ENTRYPOINT ["doelband"]
CMD ["serve", "--config", "/etc/doelband/config.toml"]
