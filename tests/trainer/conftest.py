"""One thread for torch in the trainer's tests: their networks are tiny, and threads that wait for each other cost more."""

import os

import torch

torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of the programs that the tests start
