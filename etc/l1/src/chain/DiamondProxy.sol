// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {Diamond} from "@zksync/state-transition/libraries/Diamond.sol";
import {FacetIsFrozen, UnknownSelector, InvalidChainId} from "../common/Errors.sol";

/// The address of a chain on L1: routes every call to the facet that owns its selector.
contract DiamondProxy {
    constructor(uint256 chainId, Diamond.DiamondCutData memory cut) {
        if (chainId != block.chainid) revert InvalidChainId();
        Diamond.diamondCut(cut);
    }

    fallback() external payable {
        Diamond.DiamondStorage storage ds = Diamond.getDiamondStorage();
        Diamond.SelectorToFacet memory facet = ds.selectorToFacet[msg.sig];
        address target = facet.facetAddress;
        if (target == address(0)) revert UnknownSelector(msg.sig);
        if (ds.isFrozen && facet.isFreezable) revert FacetIsFrozen(msg.sig);
        assembly {
            calldatacopy(0, 0, calldatasize())
            let ok := delegatecall(gas(), target, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            switch ok
            case 0 { revert(0, returndatasize()) }
            default { return(0, returndatasize()) }
        }
    }
}
