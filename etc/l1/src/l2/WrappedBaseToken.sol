// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

import {ERC20} from "./ERC20.sol";
import {Unauthorized, WithdrawFailed} from "../common/Errors.sol";

/// The base token as ERC-20, one to one.
contract WrappedBaseToken is ERC20 {
    address public l2Bridge;
    address public l1Address;
    bytes32 public baseTokenAssetId;
    bool private initialized;

    event Initialize(string name, string symbol, uint8 decimals);
    event Deposit(address indexed to, uint256 value);
    event Withdrawal(address indexed from, uint256 value);

    /// The implementation itself is part of genesis and has no constructor; initialising it has no effect on the
    /// proxies in front of it.
    function initialize(
        string calldata tokenName,
        string calldata tokenSymbol,
        address bridge,
        address l1Token,
        bytes32 assetId
    ) external {
        if (initialized) revert Unauthorized(msg.sender);
        initialized = true;
        name = tokenName;
        symbol = tokenSymbol;
        decimals = 18;
        l2Bridge = bridge;
        l1Address = l1Token;
        baseTokenAssetId = assetId;
        emit Initialize(tokenName, tokenSymbol, 18);
    }

    receive() external payable {
        depositTo(msg.sender);
    }

    function deposit() external payable {
        depositTo(msg.sender);
    }

    function depositTo(address to) public payable {
        _mint(to, msg.value);
        emit Deposit(to, msg.value);
    }

    function withdraw(uint256 amount) external {
        withdrawTo(msg.sender, amount);
    }

    function withdrawTo(address to, uint256 amount) public {
        _burn(msg.sender, amount);
        (bool ok,) = to.call{value: amount}("");
        if (!ok) revert WithdrawFailed();
        emit Withdrawal(msg.sender, amount);
    }
}
