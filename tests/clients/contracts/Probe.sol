// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.28;

/// What a [`Probe`] creates.
contract Child {
    uint256 public immutable value;

    constructor(uint256 initial) {
        value = initial;
    }
}

/// What the client tests deploy: a value with history, every way to revert, and calls within calls.
contract Probe {
    /// `data` of a revert that a library decodes with the ABI.
    error Refused(address caller, uint256 code);

    event Stored(address indexed by, uint256 indexed value, string note);

    uint256 public value;
    mapping(address => uint256) public stored;

    constructor(uint256 initial) payable {
        value = initial;
    }

    receive() external payable {}

    function store(uint256 next, string calldata note) external payable returns (uint256 previous) {
        previous = value;
        value = next;
        stored[msg.sender] = next;
        emit Stored(msg.sender, next, note);
    }

    /// Calls itself from outside, so that traces have a frame below the first.
    function storeNested(uint256 next) external returns (uint256) {
        return this.store(next, "nested");
    }

    /// Creates a contract, so that traces have a creation below a call.
    function spawn(uint256 initial) external returns (Child) {
        return new Child(initial);
    }

    function failCustom(uint256 code) external view {
        revert Refused(msg.sender, code);
    }

    function failString(string calldata reason) external pure {
        revert(reason);
    }

    function failPanic(uint256 divisor) external pure returns (uint256) {
        return 1 / divisor;
    }

    function failSilently() external pure {
        revert();
    }

    /// A revert from below, with a change before it that must not last.
    function failNested(uint256 code) external {
        value = code;
        this.failCustom(code);
    }
}
