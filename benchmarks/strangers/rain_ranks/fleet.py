"""Starting several ranks on one box: rank 0 is this process, the others are its children."""

import multiprocessing
import os

import torch.distributed as dist


def join(rank, world, folder):
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world)


def launch(function, world, *rest):
    fork = multiprocessing.get_context("fork")
    peers = [fork.Process(target=function, args=(rank, world, *rest)) for rank in range(1, world)]
    for peer in peers:
        peer.start()
    result = function(0, world, *rest)
    for peer in peers:
        peer.join()
    return result
