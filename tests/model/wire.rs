//! Round trips of everything that travels, and deltas.

use foremap::partition::{MapDelta, MapError, PartitionMap};
use foremap::protocol::{BatchRequest, BatchResponse, Keymap};
use proptest::prelude::*;

use crate::config;
use crate::strategies::{binary_request, keymap, map, request, response, two_maps};

proptest! {
    #![proptest_config(config(250))]

    #[test]
    fn maps_round_trip(map in map()) {
        prop_assert_eq!(PartitionMap::decode(&map.encode()), Ok(map.clone()));
        let json = serde_json::to_string(&map).unwrap();
        prop_assert_eq!(&serde_json::from_str::<PartitionMap>(&json).unwrap(), &map);
    }

    #[test]
    fn a_delta_leads_to_the_target_and_from_its_base_only((old, new) in two_maps()) {
        let delta = MapDelta::between(&old, &new).unwrap();
        let read = MapDelta::decode(&delta.encode()).unwrap();
        prop_assert_eq!(&read, &delta);
        prop_assert_eq!(read.apply(&old), Ok(new.clone()));
        if old != new {
            prop_assert_eq!(read.apply(&new), Err(MapError::WrongBase));
        }
    }

    #[test]
    fn requests_round_trip(request in binary_request()) {
        prop_assert_eq!(BatchRequest::decode(&request.encode()), Ok(request.clone()));
        prop_assert_eq!(request.validate(), Ok(()));
    }

    #[test]
    fn requests_round_trip_in_json(request in request()) {
        let json = serde_json::to_string(&request).unwrap();
        prop_assert_eq!(serde_json::from_str::<BatchRequest>(&json).unwrap(), request);
    }

    #[test]
    fn responses_round_trip(response in response(true)) {
        prop_assert_eq!(BatchResponse::decode(&response.encode()), Ok(response));
    }

    #[test]
    fn responses_round_trip_in_json(response in response(false)) {
        let json = serde_json::to_string(&response).unwrap();
        prop_assert_eq!(serde_json::from_str::<BatchResponse>(&json).unwrap(), response);
    }

    #[test]
    fn keymaps_round_trip(keymap in keymap()) {
        prop_assert_eq!(Keymap::decode(&keymap.encode()), Ok(keymap.clone()));
        let json = serde_json::to_string(&keymap).unwrap();
        prop_assert_eq!(serde_json::from_str::<Keymap>(&json).unwrap(), keymap);
    }
}
