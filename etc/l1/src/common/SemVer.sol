// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

/// Protocol versions are packed into one word: `major << 64 | minor << 32 | patch`.
library SemVer {
    function pack(uint32 major, uint32 minor, uint32 patch) internal pure returns (uint256) {
        return (uint256(major) << 64) | (uint256(minor) << 32) | patch;
    }

    function unpack(uint256 packed) internal pure returns (uint32 major, uint32 minor, uint32 patch) {
        major = uint32(packed >> 64);
        minor = uint32(packed >> 32);
        patch = uint32(packed);
    }
}
