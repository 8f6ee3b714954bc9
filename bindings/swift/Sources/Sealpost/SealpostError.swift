extension SealpostError: CustomStringConvertible {}
