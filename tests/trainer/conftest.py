"""One thread for torch in the trainer's tests: tiny networks lose more by threads that wait than they gain."""

import os

import torch

torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # of the programs that the tests start; another number gives other bits
