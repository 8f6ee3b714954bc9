pluginManagement {
    repositories {
        google()
        mavenCentral()
    }
}

dependencyResolutionManagement {
    repositories {
        // What `./dev android` has made.
        maven { url = uri("../../bindings/kotlin/target/android/maven") }
        google()
        mavenCentral()
    }
}

rootProject.name = "sealpost-chat"
include(":app")
