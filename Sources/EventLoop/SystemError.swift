import Glibc

/// A system call that failed.
package struct SystemError: Error, Sendable, Equatable, CustomStringConvertible {
    package let errno: CInt
    package let operation: String

    package init(_ operation: String, errno: CInt = Glibc.errno) {
        self.operation = operation
        self.errno = errno
    }

    /// Such as `bind: Address already in use (98)`.
    package var description: String { "\(operation): \(String(cString: strerror(errno))) (\(errno))" }
}
