"""The ops of the dialect, one file per family. Importing this package registers them all with `TL`."""

from __future__ import annotations

from .alloc import AllocBarrierOp, AllocOp, AllocReducerOp, ReshapeOp, SliceOp, TensorOp
from .atomic import AtomicOp
from .boxes import BoxLoadOp, BoxStoreOp
from .cluster import BulkWordsOp, ClusterCopyOp, ClusterStoreOp, PrefetchOp
from .copy import CommitGroupOp, CopyOp, FillOp, TransposeOp, WaitGroupOp
from .debug import AssertOp, AssumeOp, PrintOp
from .descriptor import MakeDescriptorOp, ViewOp
from .extern import AddressOp, CallExternOp
from .gemm import GemmOp, LoadOperandOp, MmaScaledOp, WaitProductsOp
from .gemm_sp import GemmSpOp
from .im2col import Im2colLoadOp, Im2colOp
from .intrinsic import IntrinsicOp
from .launch import LaunchOp, ParallelOp, ThreadIdOp
from .launch_control import ClcQueryOp, ClcTryCancelOp
from .matrix import LoadMatrixOp, StoreMatrixOp, WarpgroupMmaOp, WarpMmaOp
from .raw import CopyWordsOp, LoadWordsOp, SharedAddressOp, StoreWordsOp
from .reduce import FinalizeReducerOp, OutgrowsOp, ReduceOp, ReducerInitOp, ReducerUpdateOp, ScanOp
from .roles import SpecializeOp, TurnOp, WarpGroupsOp, WsScheduleOp
from .sync import (
    MbarrierArriveOp,
    MbarrierExpectOp,
    MbarrierMeetOp,
    MbarrierStateOp,
    MbarrierTestOp,
    MbarrierWaitOp,
    ShuffleOp,
    SyncGridOp,
    SyncThreadsOp,
    SyncWarpOp,
    VoteOp,
    WarpReduceOp,
)
from .tensor import (
    DeallocTmemOp,
    Tcgen05CommitOp,
    Tcgen05CpOp,
    Tcgen05FenceOp,
    Tcgen05MmaOp,
    Tcgen05ScaledMmaOp,
    Tcgen05SparseMmaOp,
    TmemArenaOp,
    TmemFreeOp,
)
from .tensor_roles import TensorRolesOp
from .tma import FenceProxyOp, StagedStoreOp, TmaGather4Op, TmaLoadOp, TmaScatter4Op, TmaStoreOp, TmaWaitOp
from .value import BitcastOp, CastOp, MathOp

__all__ = [
    "AddressOp",
    "AllocBarrierOp",
    "AllocOp",
    "AllocReducerOp",
    "AssertOp",
    "AssumeOp",
    "AtomicOp",
    "BitcastOp",
    "BoxLoadOp",
    "BoxStoreOp",
    "BulkWordsOp",
    "CallExternOp",
    "CastOp",
    "ClcQueryOp",
    "ClcTryCancelOp",
    "ClusterCopyOp",
    "ClusterStoreOp",
    "CommitGroupOp",
    "CopyOp",
    "CopyWordsOp",
    "DeallocTmemOp",
    "FenceProxyOp",
    "FillOp",
    "FinalizeReducerOp",
    "GemmOp",
    "GemmSpOp",
    "Im2colLoadOp",
    "Im2colOp",
    "IntrinsicOp",
    "LaunchOp",
    "LoadMatrixOp",
    "LoadOperandOp",
    "MmaScaledOp",
    "LoadWordsOp",
    "MakeDescriptorOp",
    "MathOp",
    "MbarrierArriveOp",
    "MbarrierExpectOp",
    "MbarrierMeetOp",
    "MbarrierStateOp",
    "MbarrierTestOp",
    "MbarrierWaitOp",
    "OutgrowsOp",
    "ParallelOp",
    "PrefetchOp",
    "PrintOp",
    "ReduceOp",
    "ReducerInitOp",
    "ReducerUpdateOp",
    "ReshapeOp",
    "ScanOp",
    "SharedAddressOp",
    "ShuffleOp",
    "SliceOp",
    "SpecializeOp",
    "StagedStoreOp",
    "StoreMatrixOp",
    "StoreWordsOp",
    "SyncGridOp",
    "SyncThreadsOp",
    "SyncWarpOp",
    "Tcgen05CommitOp",
    "Tcgen05CpOp",
    "Tcgen05FenceOp",
    "Tcgen05MmaOp",
    "Tcgen05ScaledMmaOp",
    "Tcgen05SparseMmaOp",
    "TensorOp",
    "TensorRolesOp",
    "ThreadIdOp",
    "TmaGather4Op",
    "TmaLoadOp",
    "TmaScatter4Op",
    "TmaStoreOp",
    "TmaWaitOp",
    "TmemArenaOp",
    "TmemFreeOp",
    "TransposeOp",
    "TurnOp",
    "ViewOp",
    "VoteOp",
    "WaitGroupOp",
    "WaitProductsOp",
    "WarpGroupsOp",
    "WsScheduleOp",
    "WarpMmaOp",
    "WarpReduceOp",
    "WarpgroupMmaOp",
]
