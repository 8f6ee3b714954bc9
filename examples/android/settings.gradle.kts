pluginManagement {
    repositories {
        google()
        mavenCentral()
    }
}

dependencyResolutionManagement {
    repositories {
        // The package that `./dev android` builds.
        maven { url = uri("../../bindings/kotlin/target/android/maven") }
        google()
        mavenCentral()
    }
}

rootProject.name = "sealpost-chat"
include(":app")
