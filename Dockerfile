# EfficientGCN on a CPU, in a container with nothing else:
#   docker build -t efficientgcn .
#   docker run --rm efficientgcn                                   # make demo QUICK=1
#   docker run --rm -v "$PWD/data:/app/data" -v "$PWD/workdir:/app/workdir" efficientgcn .venv/bin/python main.py -c 2001 -gd
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
CMD ["make", "demo", "QUICK=1"]
