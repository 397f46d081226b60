# EfficientGCN on a CPU, in a container with nothing else:
#   docker build -t efficientgcn .
#   docker run --rm efficientgcn                                   # make demo QUICK=1
# Commands on files of yours, as yourself; both folders must be there before, or Docker makes them root's:
#   mkdir -p data workdir
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD/data:/app/data" -v "$PWD/workdir:/app/workdir" efficientgcn \
#     python main.py -c 2001 -gd
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 make && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home user && mkdir /app && chown user /app
USER user
WORKDIR /app
COPY --chown=user requirements.txt pyproject.toml README.md Makefile ./
COPY --chown=user utils utils
RUN make .venv/.ready
COPY --chown=user . .
# The files are newer than the environment now, and it is still right: their packages are those that were installed above.
RUN touch .venv/.ready
ENV PATH="/app/.venv/bin:$PATH"
CMD ["make", "demo", "QUICK=1"]
