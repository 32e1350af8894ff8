FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/unefois
COPY requirements.lock ./
RUN /opt/unefois/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY bus bus
COPY connectors connectors
COPY hub hub
COPY gateway gateway
COPY commands commands
COPY demo demo
RUN /opt/unefois/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="unefois" org.opencontainers.image.licenses="EUPL-1.2"
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/unefois unefois \
    && install -d -o unefois -g unefois -m 0750 /var/lib/unefois /var/lib/unefois/documents
COPY --from=build /opt/unefois /opt/unefois
ENV PATH=/opt/unefois/bin:$PATH PYTHONUNBUFFERED=1 UNEFOIS_CONFIG=/etc/unefois/hub.toml
USER unefois
WORKDIR /var/lib/unefois
EXPOSE 8080
ENTRYPOINT ["unefois"]
CMD ["serve"]
