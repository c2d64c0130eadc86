import Glibc

/// The wall clock, which real servers compare signatures with.
enum S3Clock {
    static func seconds() -> Int64 { Int64(time(nil)) }
}
