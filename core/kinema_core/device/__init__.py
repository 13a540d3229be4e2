"""A frame's way on a GPU, in torch: luma goes up once, chroma comes down once. It also runs on a CPU, to be tested.

Nothing here is imported unless an engine keeps its tensors on a device.
"""
